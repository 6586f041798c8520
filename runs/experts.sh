#!/bin/sh
# Many experts into one model, in a world of 24 small domains: the whole story, with what each stage costs.
# Two cores, no GPU. Called again it goes on where it was. The board: OUT/board.md and OUT/board.png.
#
#   sh runs/experts.sh [FOLDER] [SIZE]        SIZE is minute, ten-minutes or whole
set -e
OUT=${1:-runs-output/experts}
SIZE=${2:-whole}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OMP_WAIT_POLICY=PASSIVE   # two processes of one thread each

stage() { palaestra train experts "$OUT" --size "$SIZE" --stage "$1"; }

stage base      # a model of chance learns a little of everything
stage experts   # an expert for each domain, two at a time
stage merges    # every method of merging, lambda by validation
stage distil    # the student from three seeds, and one from the other start
stage joint     # what a house without experts would do, at equal answers and at equal compute
stage short     # workings, and the same answers in fewer tokens
stage board     # all of them on held-out prompts
