"""What a browser shows: charts, the page, the dashboard."""
