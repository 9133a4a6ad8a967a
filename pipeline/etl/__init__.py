"""The Glue job: from the raw zone's lines to feature rows in partitioned Parquet."""
