#!/usr/bin/env bash
# Draws the pool of phantoms, pretrains the trunk that grounding starts from (and segmentation, if SEGMENTATION_TRUNK is
# set), and then trains every image network of the embedded profile, all at the same time.
#
#     bash training/runs/embedded.sh                                       # one machine without a GPU: hours
#     DEVICE=cuda MINUTES=9 WORKERS=9 bash training/runs/embedded.sh       # one GPU and 16 processor cores
#
# POOL and WORK are scratch folders, OUT takes the finished folders, TEXTS is what training.text_bank wrote (made here if
# it is not there); DRAW=no leaves the drawing to a pool that runs already. A run that was stopped goes on when it is started again.
set -euo pipefail
PYTHON=${PYTHON:-.venv/bin/python}
DEVICE=${DEVICE:-cpu} MINUTES=${MINUTES:-60} TRUNK_MINUTES=${TRUNK_MINUTES:-15} WORKERS=${WORKERS:-1} IMAGES=${IMAGES:-100000}
POOL=${POOL:-build/pool} WORK=${WORK:-build} OUT=${OUT:-models} TEXTS=${TEXTS:-build/texts.safetensors}
if [ "$DEVICE" = cpu ]; then BATCH=(4 32 8 32 16); else BATCH=(${BATCHES:-24 128 48 128 96}); fi
export OMP_NUM_THREADS=1
mkdir -p "$WORK/logs" "$OUT"

run() { "$PYTHON" -m "mmedagent.training.$1" "${@:2}" >>"$WORK/logs/$1.log" 2>&1; }

run pool --out "$POOL-held-out" --images 1152 --workers "$WORKERS" --first 90000
[ -f "$TEXTS" ] || run text_bank --pool "$POOL-held-out" --out "$TEXTS"
if [ "${DRAW:-yes}" = yes ]; then
    run pool --out "$POOL" --images "$IMAGES" --workers "$WORKERS" &
    pool=$!
fi
TRUNK=${TRUNK:-$WORK/trunk}
[ -f "$TRUNK/last.pt" ] || run trunk --pool "$POOL" --minutes "$TRUNK_MINUTES" --device "$DEVICE" --threads "$WORKERS" --work "$TRUNK"
common=(--pool "$POOL" --minutes "$MINUTES" --device "$DEVICE")
jobs=()
for stage in ${STAGES:-segmentation classification grounding glance report}; do
    case $stage in
        segmentation) run segmentation "${common[@]}" --images "${BATCH[0]}" --out "$OUT/segmentation" --work "$WORK/segmentation" ${SEGMENTATION_TRUNK:+--trunk "$TRUNK/last.pt"} & ;;
        classification) run classification "${common[@]}" --images "${BATCH[1]}" --held-out "$POOL-held-out" --texts "$TEXTS" --work "$WORK/classification" --out "$OUT/classification" & ;;
        grounding) run grounding "${common[@]}" --images "${BATCH[2]}" --texts "$TEXTS" --work "$WORK/grounding" --trunk "$TRUNK/last.pt" --out "$OUT/grounding" & ;;
        glance) run glance "${common[@]}" --images "${BATCH[3]}" --held-out "$POOL-held-out" --names "$POOL-held-out" --out "$OUT/planner" & ;;
        report) run report --minutes "$MINUTES" --device "$DEVICE" --workers "${REPORT_WORKERS:-1}" --batch "${BATCH[4]}" --work "$WORK/report" --out "$OUT/report_generation" & ;;
    esac
    jobs+=($!)
done
status=0
for job in "${jobs[@]}"; do wait "$job" || status=$?; done
[ -z "${pool:-}" ] || kill "$pool" 2>/dev/null || true
exit "$status"
