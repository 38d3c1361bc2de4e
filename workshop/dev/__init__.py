"""For authors: measuring, hunting flakes, tables of minutes."""
