// Stands in dist/tsnet.js for what dockerode brings along and tsnet has no use of: a way to an engine by ssh, and BuildKit's
// sessions. Together they are as large as all the rest.
module.exports = {};
