"""Reading model files and what lies beside them."""
