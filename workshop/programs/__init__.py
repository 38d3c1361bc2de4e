"""What runs beside the app: one lifecycle for all, one file for each program."""
