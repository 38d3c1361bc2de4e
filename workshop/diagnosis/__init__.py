"""From what was seen to what to do: facts, and rungs by stage."""
