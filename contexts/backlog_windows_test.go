package contexts_test

import "testing"

func fullBacklog(t *testing.T) string {
	t.Skip("Windows refuses a connection for which the backlog has no room; other systems leave it unanswered")
	return ""
}
