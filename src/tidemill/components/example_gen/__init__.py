"""External CSV or Parquet files become Examples."""
