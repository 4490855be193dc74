#!/bin/sh
# Makes every figure, table and picture of the README and of docs/ anew; takes about an hour.
# Usage: sh scripts/figures.sh PYTHON DATA, where DATA has the folders catvnoncat, pets and natural_images.
set -eu
python=$1
data=$2
export CATCLF_REAL_DATA="$data"  # by which the pages call it

"$python" scripts/study_convexity.py
"$python" scripts/study_learning_rate.py
"$python" scripts/study_near_duplicates.py "$data" > docs/near_duplicates.md
"$python" scripts/album_session.py "$data" > docs/album.md
"$python" scripts/study_next.py "$data" > docs/next.md
"$python" scripts/study_unusual.py "$data" > docs/unusual.md
"$python" scripts/study_export.py "$data" > docs/export.md
"$python" scripts/study_label_errors.py "$data" > docs/label_errors.md
"$python" scripts/bench_accuracy.py "$data/catvnoncat/train_catvnoncat.h5=$data/catvnoncat/test_catvnoncat.h5"
"$python" scripts/bench_accuracy.py "$data/pets/train=$data/pets/test" --size 64 --append
"$python" scripts/bench_accuracy.py "$data/natural_images" --size 32 --positive cat --append
"$python" scripts/bench_accuracy.py data/drawings_train.h5=data/drawings_test.h5 --seeds 1 --append
"$python" scripts/bench_accuracy.py "$data/pets/train=$data/pets/test" --few --append
"$python" scripts/bench_accuracy.py "$data/catvnoncat/train_catvnoncat.h5" --costs --append
"$python" scripts/bench_training.py --full --data "$data/catvnoncat/train_catvnoncat.h5" --data "$data/pets/train"
"$python" scripts/bench_predict.py --folder "$data/pets" --length 50000
"$python" scripts/bench_pack.py --repeats 3
"$python" scripts/bench_dask.py --out docs/bench_dask.md
"$python" scripts/bench_penalty.py --out docs/bench_penalty.md
"$python" scripts/bench_features.py --out docs/bench_features.md
"$python" scripts/option_reference.py docs/options.md
"$python" scripts/copied_tables.py
