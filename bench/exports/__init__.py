"""Findings of `check` and `gate` in the forms that others read: one file a form, findings in, text out."""
