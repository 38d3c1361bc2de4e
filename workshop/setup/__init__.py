"""Environments, tools, downloads and builds. Standard library only: it runs before anything is installed."""
