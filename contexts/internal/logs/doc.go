// Package logs takes what contexts log and print to the master's logger.
//
// In a child, a [Sender] is behind the logger and an [Output] behind standard output
// and error; what they have is sent to the master as records. There, a [Hub] shows
// them. Neither waits for anybody: what does not fit a queue is dropped, counted, and
// the number is shown.
package logs
