#!/bin/sh
# bootstrap.sh SCRIPT [ARGUMENT...]: runs a script of this repository with the Node.js that the lockfile names, on a machine
# where only an older Node.js and npm are: installs the npm packages first if they are missing or older than the lockfile.
# A relative SCRIPT is taken from the root of the repository, which is also where it runs.
set -eu
cd "$(dirname "$0")/.."
installed=node_modules/.package-lock.json
if [ -L node_modules ]; then
  echo "node_modules is another working copy's, which npm ci would empty: nothing is installed" >&2
elif [ ! -x node_modules/.bin/node ] || [ ! -f $installed ] || [ package-lock.json -nt $installed ]; then
  echo "installing npm packages (npm ci)" >&2
  npm ci --ignore-scripts --no-audit --no-fund >&2
  touch $installed
fi
PATH="$PWD/node_modules/.bin:$PATH"
export PATH
exec node "$@"
