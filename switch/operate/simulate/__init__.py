"""`switch simulate`: a scheme with its customers, its habits and its troubles, against a switch."""
