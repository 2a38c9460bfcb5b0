"""What a target can run, and packing it: compatibility, wheels, bundles."""
