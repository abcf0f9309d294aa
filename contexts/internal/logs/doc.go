// Package logs takes records and printed lines of all contexts to the master's logger.
//
// In a child, a [Sender] is behind the logger and an [Output] behind standard output and
// error. They send records to the master. There, a [Hub] shows them. Neither waits: records
// that do not fit into a queue are dropped and counted, and their number is shown.
package logs
