"""Development of a project on a platform of its own: what changed is deployed as soon as it is saved."""
