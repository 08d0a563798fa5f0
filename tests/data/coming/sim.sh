#!/bin/sh
echo "sim $1"
