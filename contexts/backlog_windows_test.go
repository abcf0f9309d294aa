package contexts_test

import "testing"

func fullBacklog(t *testing.T) string {
	t.Skip("Windows refuses what a backlog has no room for, where others leave it unanswered")
	return ""
}
