"""What runs around the workflow: servers, images and manifests."""
