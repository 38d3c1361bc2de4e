"""What is played with an app."""
