"""What a lesson is: its blocks, their replay, its tables, its quiz, its wrong turns."""
