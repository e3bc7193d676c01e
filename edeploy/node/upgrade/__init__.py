"""From one version of the role to another on a running machine, and back."""
