"""Where a stage runs: in this process, or on several through TorchX. The only user of torchx.

launch_config   what can be chosen
app             the TorchX app of a job, one for all schedulers
local, cluster  a job on this machine, and on Kubernetes
kubernetes      the job as Kubernetes gets it; volcano: what Volcano takes
watch           submitted or adopted, followed, waited for, cancelled
agent, worker   what runs on every node, and in every rank
channel         what launcher, agents and workers tell each other
"""

from geovr.launch.component import run_component
from geovr.launch.run import dry_run, run
from geovr.launch.worker import work

__all__ = ["dry_run", "run", "run_component", "work"]
