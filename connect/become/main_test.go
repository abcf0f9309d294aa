//go:build linux

package become

import (
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
)

import "testing"

func TestMain(m *testing.M) { connecttest.Main(m) }
