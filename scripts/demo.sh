#!/bin/sh
# The main job from end to end on the drawings: train, evaluate, predict. Shows each command it runs.
# Usage: sh scripts/demo.sh CATCLF FOLDER
set -eu
catclf=$1
folder=$2

run() {
    printf '\n$ catclf %s\n' "$*"
    "$catclf" "$@"
}

run train data/drawings_train.h5 -o "$folder/cat.npz" --force --l2 auto --momentum 0.9 --cv 5
run eval -m "$folder/cat.npz" data/drawings_test.h5
run predict -m "$folder/cat.npz" data/drawings -o "$folder/answers.tsv" -F tsv
printf '\n%s now begins with\n' "$folder/answers.tsv"
head -5 "$folder/answers.tsv"
run info "$folder/cat.npz"
printf '\nThe model is %s; the pictures it was tried on are in data/drawings/.\n' "$folder/cat.npz"
