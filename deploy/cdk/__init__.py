"""AWS as code: two regions, seven stacks each. `app` builds them; docs/deploy.md deploys them."""
