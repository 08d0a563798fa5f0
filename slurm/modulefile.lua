-- A module for Lmod: batch scripts that load TaskFarmer and call its runcommands.sh run mpifarm as they stand.
--
-- To install it, for yourself or for all: copy this file to DIR/mpifarm/1.0.lua, write the path of the directory with
-- mpifarm's runcommands.sh into it, below, and let users say
--   module use DIR; module load mpifarm
-- In a script with `module load taskfarmer` that line has to go: it puts TaskFarmer's runcommands.sh first on PATH. The two
-- are therefore not loaded together: Lmod says which to unload.

local directory = "/path/to/mpifarm/slurm" -- with runcommands.sh

help([[Runs a list of shell commands over the nodes of a job: runcommands.sh tasks.txt]])
whatis("Name: mpifarm")
whatis("Description: a task farm that takes TaskFarmer's batch scripts and goes on with its lists")

conflict("taskfarmer")
prepend_path("PATH", directory)
