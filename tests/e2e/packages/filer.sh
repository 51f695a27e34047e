#!/bin/sh
# Files tickets one after another until /tmp/enough is there; each that is saved leaves a line in
# /tmp/saved, and the first that is not ends it.
n=0
while ! [ -e /tmp/enough ]; do
    n=$((n + 1))
    branchline-agent ticket new --subject "ticket $n" --description x --category hardware > /tmp/said 2>&1 || exit 1
    echo "$n" >> /tmp/saved
done
