"""What an app says: spans, metrics and log records, read from a console or from OTLP, and drawn."""
