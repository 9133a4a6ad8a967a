"""Tests of the drawing of QuickSight's dashboards."""
