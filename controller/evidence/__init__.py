"""What of an answer rests on results, and on which field of which."""
