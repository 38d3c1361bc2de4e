"""Is this machine ready? `workshop doctor`, or `python3 -m workshop.doctor` where nothing is installed yet."""
