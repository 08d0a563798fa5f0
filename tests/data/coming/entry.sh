#!/bin/sh
echo "entry $HQ_ENTRY"
