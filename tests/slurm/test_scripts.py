"""The batch scripts that people copy, submitted as they stand; and tasks that start steps and MPI programs of their own."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from functools import partial

import pytest
from mpi.farms import held, live_processes, wait_until

from .cluster import SCRIPTS, Jobs

PYTHON = shlex.quote(sys.executable)
HELLO = "from mpi4py.MPI import COMM_WORLD as world; world.Barrier(); world.rank or print('size', world.size)"
FOR_A_WHILE = ("--retries", "0", "--timeout", "30s", "tasks.txt")
SMALL = ("-N", "2", "-c", "2", "-t", "5")


def script(name: str) -> str:
    return str(SCRIPTS / name)


def numbers(output: bytes) -> list[int]:
    """Return the lines of *output* that are numbers, sorted: what the tasks of a list have printed."""
    return sorted(int(line) for line in output.splitlines() if line.isdigit())


def test_cpu_runs_the_list_that_it_is_given(jobs: Jobs) -> None:
    offsets = jobs.farms.tasks(*(f"echo {number}" for number in range(20)))
    ended = jobs.sbatch(*SMALL, script("cpu.sbatch"), "tasks.txt").wait()
    assert ended.code == 0, ended.err
    assert numbers(ended.out) == list(range(20))
    assert sorted(jobs.farms.progress()) == offsets


def test_cpu_runs_tasks_txt_if_it_is_given_nothing_and_shows_how_it_ended(jobs: Jobs) -> None:
    jobs.farms.tasks("echo $MPIFARM_THREADS", "exit 7")
    ended = jobs.sbatch(*SMALL, script("cpu.sbatch")).wait()
    assert ended.code == 1, ended.err
    assert numbers(ended.out) == [2]


def test_cpu_as_it_stands_uses_every_cpu_of_every_node(jobs: Jobs) -> None:
    """So many tasks wait for each other as there are CPUs, those of the manager's node among them."""
    meet = "touch met.$MPIFARM_SEQ; until [ $(ls met.* | wc -l) = %d ]; do sleep 0.05; done; echo $MPIFARM_THREADS"
    cpus = min(4, len(os.sched_getaffinity(0)))  # of a node, and of this machine
    jobs.farms.tasks(*[meet % (2 * cpus)] * 2 * cpus)
    ended = jobs.sbatch(script("cpu.sbatch"), "--timeout", "30s", "--retries", "0", "tasks.txt").wait()
    assert ended.code == 0, ended.err
    assert numbers(ended.out) == [cpus] * 2 * cpus
    assert {line["Host"] for line in jobs.farms.joblog()} == {"n0", "n1"}


def test_another_python_on_path_and_in_pythonpath_is_the_tasks_alone(jobs: Jobs) -> None:
    """As in most scripts that activate something: a python without mpifarm, and a numpy for another one."""
    other = jobs.directory / "other"
    (other / "numpy").mkdir(parents=True)
    (other / "numpy" / "__init__.py").write_text("raise ImportError('a numpy for another Python')\n")
    (other / "python").write_text("#!/bin/sh\necho another python\n[ $# = 0 ]\n")
    (other / "python").chmod(0o755)
    jobs.farms.tasks("python", "echo $PYTHONPATH")
    theirs = {"PATH": f"{other}:{jobs.environ()['PATH']}", "PYTHONPATH": str(other)}
    ended = jobs.sbatch(*SMALL, script("cpu.sbatch"), "--retries", "0", "tasks.txt", environ=theirs).wait()
    assert ended.code == 0, ended.err
    assert {"another python", str(other)} <= set(ended.out.decode().splitlines())
    lacking = jobs.sbatch(*SMALL, script("cpu.sbatch"), environ={**theirs, "MPIFARM_PYTHON": ""}).wait()
    assert lacking.code == 2
    assert lacking.err.startswith("cpu.sbatch: python -I has no mpifarm: ")


def test_gpu_as_it_stands_runs_on_nodes_of_any_size(jobs: Jobs) -> None:
    jobs.farms.tasks(*(f"echo {number}" for number in range(8)))
    ended = jobs.sbatch(script("gpu.sbatch")).wait()
    assert ended.code == 0, ended.err
    assert numbers(ended.out) == list(range(8))


def test_gpu_gives_each_task_a_gpu_of_its_own(jobs: Jobs) -> None:
    one_gpu = shlex.quote(script("one_gpu.sh"))
    meet = "touch met.$MPIFARM_SLOT; until [ $(ls met.* | wc -l) = 4 ]; do sleep 0.05; done; echo $CUDA_VISIBLE_DEVICES"
    jobs.farms.tasks(*[f"{one_gpu} sh -c {shlex.quote(meet)}"] * 4)
    ended = jobs.sbatch("-N", "1", "-t", "5", script("gpu.sbatch"), "tasks.txt").wait()
    assert ended.code == 0, ended.err
    assert numbers(ended.out) == [0, 1, 2, 3]


def test_each_runs_a_command_for_each_line_of_a_file(jobs: Jobs) -> None:
    (jobs.directory / "run").write_text("#!/bin/sh\nprintf '%s|' \"$@\"\n")
    (jobs.directory / "run").chmod(0o755)
    names = ["a b", "it's", "$HOME", "x\\y"]
    (jobs.directory / "args.txt").write_text("".join(f"{name}\n" for name in names))
    ended = jobs.sbatch(*SMALL, script("each.sbatch"), "--retries", "0", "args.txt").wait()
    assert ended.code == 0, ended.err
    assert [(jobs.directory / f"{seq}.out").read_text() for seq in range(1, 5)] == [f"{name}|" for name in names]


def test_each_runs_what_was_a_job_array(jobs: Jobs) -> None:
    (jobs.directory / "element.sh").write_text("#!/bin/sh\necho $SLURM_ARRAY_TASK_ID\n")
    (jobs.directory / "element.sh").chmod(0o755)
    array = {"TEMPLATE": "SLURM_ARRAY_TASK_ID={} ./element.sh"}
    ended = jobs.sbatch(*SMALL, script("each.sbatch"), "--retries", "0", "1-20:5", environ=array).wait()
    assert ended.code == 0, ended.err
    assert numbers(ended.out) == [1, 6, 11, 16]
    assert (jobs.directory / "done.element.sh.1-20:5.tfin").exists()


def test_array_runs_a_farm_in_each_element(jobs: Jobs) -> None:
    for element in range(2):
        (jobs.directory / f"tasks.{element}.txt").write_text(f"echo {element}\n" * 3)
    ended = jobs.sbatch("--array=0-1", *SMALL, script("array.sbatch"), "--retries", "0").wait_all()
    assert [each.code for each in ended] == [0, 0], [each.err for each in ended]
    assert sorted(numbers(each.out) for each in ended) == [[0] * 3, [1] * 3]
    assert (jobs.directory / "done.tasks.1.txt.tfin").read_text().splitlines()[0] == "done"


def test_every_element_of_an_array_stops_before_its_limit(jobs: Jobs) -> None:
    """One of them has the id of the array, and squeue answers to that with all of them."""
    for element in range(3):
        (jobs.directory / f"tasks.{element}.txt").write_text("sleep 0.5\n" * 200)  # for 100 s, of a minute
    soon = ("--threads", "1", "--time-request", "50s")
    job = jobs.sbatch("--array=0-2", "-N", "2", "-c", "1", "-t", "1", script("array.sbatch"), *soon)
    ended = job.wait_all()
    assert [each.code for each in ended] == [3, 3, 3], [each.err for each in ended]
    assert {record["JobState"] for record in jobs.cluster.records(job.id)} == {"FAILED"}  # of its code, and not CANCELLED
    assert job.id in {record["JobId"] for record in jobs.cluster.records(job.id)}
    for element in range(3):
        progress = (jobs.directory / f"progress.tasks.{element}.txt.tfin").read_text().splitlines()
        assert 0 < len(progress) < 200


def test_a_batch_script_of_taskfarmer_runs_as_it_stands(jobs: Jobs) -> None:
    theirs = jobs.directory / "taskfarmer.sbatch"
    theirs.write_text(
        "#!/bin/sh\n#SBATCH -N 2 -c 4\n#SBATCH -t 00:05:00\n"
        "cd $SLURM_SUBMIT_DIR\nexport PATH=$PATH:/usr/common/tig/taskfarmer/1.5/bin:$(pwd)\nexport THREADS=4\n"
        "runcommands.sh tasks.txt\n"
    )
    offsets = jobs.farms.tasks(*(f"echo {number} $MPIFARM_THREADS" for number in range(20)))
    ended = jobs.sbatch(theirs.name, environ={"PATH": f"{SCRIPTS}:{jobs.environ()['PATH']}"}).wait()
    assert ended.code == 0, ended.err
    assert sorted(jobs.farms.progress()) == offsets
    assert {line.split()[1] for line in ended.out.decode().splitlines() if line[0].isdigit()} == {"4"}
    assert {line["Host"] for line in jobs.farms.joblog()} == {"n0", "n1"}


def test_runcommands_works_outside_of_slurm(jobs: Jobs) -> None:
    offsets = jobs.farms.tasks("echo 1", "echo 2")
    ended = jobs.start("sh", script("runcommands.sh"), "tasks.txt").wait()
    assert ended.code == 0, ended.err
    assert sorted(jobs.farms.progress()) == offsets


# resubmit


def run_until_done(jobs: Jobs, count: int, seconds: str, *options: str) -> int:
    """Submit resubmit.sbatch with *count* tasks; return how often it was requeued until all was done."""
    offsets = jobs.farms.tasks(*(f"sleep {seconds}; echo {number}" for number in range(count)))
    slots = ("-N", "2", "-c", "2", "-t", "1")
    job = jobs.sbatch(*slots, script("resubmit.sbatch"), "--retries", "0", *options, "tasks.txt")

    def done(goal: int) -> bool:
        job.hurry()
        return jobs.farms.progressed(goal)

    for goal in range(1, count + 1):
        wait_until(partial(done, goal), f"{goal} tasks are done")
    ended = job.wait()
    assert ended.code == 0, ended.err
    assert sorted(jobs.farms.progress()) == offsets
    assert numbers(ended.out) == list(range(count))  # the output of all starts, each task's once
    assert jobs.farms.file("done").read_text().splitlines()[0] == "done"
    assert {line["Signal"] for line in jobs.farms.joblog() if line["Exitval"] != "0"} <= {"15"}
    return int(job.record()["Restarts"])


def test_resubmit_requeues_itself_until_all_is_done(jobs: Jobs) -> None:
    assert run_until_done(jobs, 16, "1", "--walltime", "6s", "--margin", "2s") >= 1


def test_resubmit_gets_through_more_work_than_the_limit_of_a_job_allows(jobs: Jobs) -> None:
    if jobs.cluster.mpi != "pmi2":
        pytest.skip("takes three minutes and is the same with every MPI: runs with pmi2")
    assert run_until_done(jobs, 60, "10") >= 2


def test_resubmit_ends_with_1_when_a_task_has_failed_for_good(jobs: Jobs) -> None:
    jobs.farms.tasks("echo 1", "exit 7")
    job = jobs.sbatch(*SMALL, script("resubmit.sbatch"), "--retries", "0", "tasks.txt")
    ended = job.wait()
    assert ended.code == 1, ended.err
    assert job.record()["Restarts"] == "0"


def test_resubmit_goes_on_in_the_same_job_when_the_step_has_died(jobs: Jobs) -> None:
    offsets = jobs.farms.tasks("echo 0", held(1), "echo 2")
    job = jobs.sbatch(*SMALL, script("resubmit.sbatch"), "tasks.txt")
    wait_until((jobs.directory / "held.1").exists, "the tasks run")
    wait_until(lambda: jobs.farms.progressed(2), "the others are done")
    jobs.cluster.ask("scancel", "--signal=KILL", f"{job.id}.0")
    (jobs.directory / "go").touch()
    ended = job.wait()
    assert ended.code == 0, ended.err
    assert job.record()["Restarts"] == "0"
    assert sorted(jobs.farms.progress()) == offsets


def test_resubmit_goes_on_in_the_same_job_with_the_nodes_that_are_left(jobs: Jobs) -> None:
    offsets = jobs.farms.tasks(*(held(number) for number in range(4)))
    job = jobs.sbatch("-N", "3", "-c", "2", "-t", "5", script("resubmit.sbatch"), "tasks.txt")
    wait_until((jobs.directory / "held.3").exists, "the tasks run")
    jobs.cluster.ask("scontrol", "update", "NodeName=n2", "State=down", "Reason=lost")
    try:
        wait_until(lambda: job.record()["NumNodes"] == "2", "the job has two nodes")
        jobs.cluster.ask("scancel", "--signal=KILL", f"{job.id}.0")
        (jobs.directory / "go").touch()
        ended = job.wait()
    finally:
        wait_until(lambda: jobs.cluster.ask("sinfo", "-h", "-n", "n2", "-o", "%t").strip() == "idle", "n2 is back")
    assert ended.code == 0, ended.err
    assert job.record()["Restarts"] == "0"
    assert sorted(jobs.farms.progress()) == offsets


# what tasks start

EXCLUSIVE = "srun --exclusive -N1 -n1"  # as people write it in a loop


def test_steps_of_tasks_run_beside_the_farm_and_are_spread_over_the_nodes_by_slurm(jobs: Jobs) -> None:
    """All eight are there at once, a CPU each: with SLURM_OVERLAP=1 in the tasks all would be on the first node."""
    meet = "touch met.$0; until [ $(ls met.* | wc -l) = 8 ]; do sleep 0.05; done; echo $SLURMD_NODENAME"
    jobs.farms.tasks(*(f"{EXCLUSIVE} sh -c {shlex.quote(meet)} {number}" for number in range(8)))
    ended = jobs.sbatch(script("cpu.sbatch"), "--threads", "4", *FOR_A_WHILE, environ={"OMP_NUM_THREADS": "1"}).wait()
    assert ended.code == 0, jobs.farms.file("log").read_text() + ended.err
    assert sorted(line for line in ended.out.splitlines() if line in (b"n0", b"n1", b"n2")) == [b"n0"] * 4 + [b"n1"] * 4
    assert "waits" not in ended.err


FORMS = ("", "-n1", "-N1 -n1", "--exact -n1", "--exclusive -N1 -n1 -c 2", "-N1 -n1 -w $SLURMD_NODENAME", "--overlap -n1")


def test_every_form_of_srun_starts_its_step_in_a_task(jobs: Jobs) -> None:
    program = f"{PYTHON} -c {shlex.quote(HELLO)}"
    mpi = f"--mpi={jobs.cluster.mpi}"
    lines = [f"srun {form} echo ran" for form in FORMS]
    jobs.farms.tasks(*lines, "srun -n 4 echo ran", f"srun {mpi} -n 2 {program}", f"{calls_srun(jobs)} {program}")
    ended = jobs.sbatch(script("cpu.sbatch"), "--threads", "1", *FOR_A_WHILE).wait()
    assert ended.code == 0, jobs.farms.file("log").read_text() + ended.err
    assert ended.out.count(b"ran\n") == len(FORMS) + 4
    assert ended.out.count(b"size 2\n") == 2


def test_a_farm_whose_step_has_all_cpus_tells_before_a_srun_waits(jobs: Jobs) -> None:
    jobs.farms.tasks("echo 1", f"{EXCLUSIVE} echo 2")
    arguments = ("--timeout", "2s", "--retries", "0", "tasks.txt")
    ended = jobs.farm("-N", "2", "-c", "4", arguments=arguments).wait()
    assert ended.code == 1
    assert f'mpifarm: tasks.txt:2: "{EXCLUSIVE} echo 2": srun in a task waits for the farm\'s own step' in ended.err
    ended = jobs.farm("--overlap", "-N", "2", "-c", "4", arguments=arguments).wait()
    assert ended.code == 0, ended.err
    assert "waits" not in ended.err


def test_a_step_ends_with_its_task(jobs: Jobs) -> None:
    """At a timeout: srun is told, and ends its step, wherever that runs."""
    jobs.farms.tasks(f"{EXCLUSIVE} -w n2 sh -c 'touch began; sleep 600'")
    options = ("--timeout", "3s", "--retries", "0", "tasks.txt")
    ended = jobs.sbatch("-N", "3", script("cpu.sbatch"), *options).wait()
    assert ended.code == 1
    assert (jobs.directory / "began").exists()
    wait_until(lambda: not any(process.arguments[:1] == ["sleep"] for process in live_processes(jobs.mark)), "all ended")


def calls_srun(jobs: Jobs) -> str:
    """Return how a task starts ranks over the nodes of the job, by an mpiexec that calls srun."""
    mpiexec = own_mpiexec(jobs)
    return mpiexec.replace("-launcher fork ", "").replace("SLURM_OVERLAP=1 ", "")


def own_mpiexec(jobs: Jobs) -> str:
    """Return how a task starts ranks of its own on its node."""
    mpiexec = shutil.which("mpiexec", path=jobs.environ()["PATH"])
    assert mpiexec, "no mpiexec: apt-get install openmpi-bin, or pip install .[mpich]"
    if jobs.cluster.mpi == "pmi2":
        return f"{shlex.quote(mpiexec)} -launcher fork -n 2"
    return f"SLURM_OVERLAP=1 {shlex.quote(mpiexec)} --oversubscribe --bind-to none -n 2"


@pytest.mark.parametrize("nodes", ["1", "2"])
def test_tasks_start_steps_and_mpi_programs(jobs: Jobs, nodes: str) -> None:
    program = f"{PYTHON} -c {shlex.quote(HELLO)}"
    overlap = f"srun --overlap --mpi={jobs.cluster.mpi} -N 1 -n 2 {program}"
    jobs.farms.tasks("srun --overlap -n 1 echo step", program, f"{own_mpiexec(jobs)} {program}", overlap)
    arguments = ("--threads", "1", "--retries", "0", "--timeout", "15s", "tasks.txt")
    ended = jobs.farm("-N", nodes, "-c", "4", arguments=arguments).wait()
    assert ended.code == 0, jobs.farms.file("log").read_text() + ended.err
    assert sorted(ended.out.splitlines()) == [b"size 1", b"size 2", b"size 2", b"step"]
