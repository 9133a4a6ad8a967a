"""QuickSight's dashboards, drawn of the lake that a finished run left."""
