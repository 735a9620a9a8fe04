"""The pipeline on a cluster: submit it, schedule it, look at its runs, cancel them.

Speaks KFP's v2beta1 API through kfp_server_api, the client that kfp itself is built on. kfp.Client
is left alone: it prints, keeps a file in the home directory, and can tell neither a lost answer
from a refused request nor one page of a list from all of it.
"""
