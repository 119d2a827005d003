#!/bin/sh
# Fetches the headers of TensorFlow Lite's C interface, and no other file of a repository:
#
#   headers.sh FOLDER https://github.com/google-ai-edge/LiteRT v2.2.0
set -eu
folder=$1 repository=$2 version=$3
if [ -f "$folder/.fetched" ]; then exit; fi
rm -rf "$folder"
git init --quiet "$folder"
git -C "$folder" remote add origin "$repository"
git -C "$folder" fetch --quiet --depth 1 --filter=blob:none origin "$version"
git -C "$folder" sparse-checkout set --no-cone '/**/core/c/*.h' '/**/lite/builtin_ops.h' '/tflite/builtin_ops.h'
git -C "$folder" -c advice.detachedHead=false checkout --quiet FETCH_HEAD
touch "$folder/.fetched"
