"""What runs the switch elsewhere than on one machine; see docs/deploy.md."""
