#!/usr/bin/env bash
# A backlog on a Slurm allocation: a Ray cluster for this job alone, its main job on the first node.
#
#     sbatch configs/cluster/slurm.sh configs/backlog.yaml shots=/plates/show.yaml archive=/show/archive
#
# Submit it from the repository, with the environment active in which `pip install -e .` was done;
# both, the plates and the archive lie where every node sees them. Its exit status is that of
# `cluster.launch`. What is not done at the end of its time goes on with the next submission.
#SBATCH --job-name=cleanplate
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-node=4
#SBATCH --exclusive              # one Ray a node; without it two jobs may want the same ports
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@180      # three minutes before its end: save every shot and stop (143)
#SBATCH --requeue                # a preempted job starts again, and goes on
set -euo pipefail
umask 077

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000))
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))') # for this job alone
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK" # Slurm since 22.05 does not hand it on
machine=(--block --num-cpus "$SLURM_CPUS_PER_TASK") # GPUs Ray finds itself

srun --nodes=1 --ntasks=1 --nodelist="$first" --overlap \
    ray start --head --port="$port" --temp-dir="/tmp/ray-$SLURM_JOB_ID" "${machine[@]}" &
until (: < "/dev/tcp/$first/$port") 2> /dev/null; do
    kill -0 $! || { echo "error: the head did not start on $first" >&2; exit 1; }
    sleep 1
done
if ((SLURM_JOB_NUM_NODES > 1)); then # those that come late join late
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) \
        --exclude="$first" ray start --address="$first:$port" "${machine[@]}" &
fi

RAY_ADDRESS="$first:$port" python -m cluster.launch "$@" &
launch=$!
trap 'kill -TERM "$launch"' TERM INT
status=0
wait "$launch" || status=$?
while kill -0 "$launch" 2> /dev/null; do # the signal ended the wait, not the main job
    status=0
    wait "$launch" || status=$?
done
kill $(jobs -p) 2> /dev/null || true # srun hands it on, Ray ends
wait
exit "$status"
