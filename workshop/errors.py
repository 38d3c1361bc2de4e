"""What every mistake of a user has in common."""


class UserError(Exception):
    """Something that the user can mend. The command line shows the message and no traceback; it says what to do."""
