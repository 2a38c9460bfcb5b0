"""Bad input, hostile files and faults: nothing ends in a traceback or damages what is on disk."""
