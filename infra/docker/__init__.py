"""The images of the pipeline: built, listed, pushed and verified by `python -m infra.docker`.

engine     the Docker engine that answers, or one of our own
base       a Debian to build on where no registry has one
build      infra/docker/Dockerfile, by BuildKit
registry   Debian's docker-registry on the loopback, and pushing
sbom       what is in an image, as CycloneDX
record     build/images/: which image is which, by digest
"""
