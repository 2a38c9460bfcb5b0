"""Pictures: where they come from, and the steps that prepare one."""
