#!/bin/sh
# The main job from end to end on the drawings: train with each kind of features, evaluate, predict.
# Shows each command it runs. Network features are passed over where their extra is not installed.
# Usage: sh scripts/demo.sh CATCLF FOLDER
set -eu
catclf=$1
folder=$2
right=

run() {
    printf '\n$ catclf %s\n' "$*"
    "$catclf" "$@"
}

# Trains on the drawings with some features, and notes what share of the test drawings is called right.
compare() {
    model=$folder/$1.npz
    run train data/drawings_train.h5 -o "$model" --force --features "$@" --cv 5
    share=$("$catclf" eval -m "$model" data/drawings_test.h5 --quiet | sed -n 's/^accuracy  *\([0-9.]*\) .*/\1/p')
    right="$right$(printf '\n  %-8s %s' "$1" "$share")"
}

compare pixels --l2 auto --momentum 0.9
compare patches
status=0  # 2 is a library that is missing; otherwise there is no data in /dev/null
reason=$("$catclf" train /dev/null -o "$folder/none.npz" --features network 2>&1) || status=$?
if [ "$status" = 2 ]; then
    right="$right$(printf '\n  %-8s passed over: %s' network "${reason#catclf: error: }")"
else
    compare network
fi
printf '\nShare of the test drawings that is called right, by features:%s\n' "$right"

run eval -m "$folder/patches.npz" data/drawings_test.h5
run predict -m "$folder/patches.npz" data/drawings -f -o "$folder/answers.tsv" -F tsv
printf '\n%s now begins with\n' "$folder/answers.tsv"
head -5 "$folder/answers.tsv"
run info "$folder/patches.npz"
printf '\nThe models are in %s/; the pictures they were tried on are in data/drawings/.\n' "$folder"
