package wire

import "time"

// Status is what a broker tells of itself, as docs/schema/broker-status.json describes it. Times are
// in seconds, sizes in bytes.
type Status struct {
	PID         int                `json:"pid"`
	Program     string             `json:"program"`
	Socket      string             `json:"socket"`
	Since       time.Time          `json:"since"`
	IdleTimeout float64            `json:"idle_timeout"` // 0: none
	Requests    uint64             `json:"requests"`     // since then
	Uses        int                `json:"uses"`         // requests under way and leases
	Retiring    bool               `json:"retiring,omitempty"`
	Connections []ConnectionStatus `json:"connections"`
	Hosts       []HostStatus       `json:"hosts"`
	Clients     []ClientStatus     `json:"clients"`
}

// ConnectionStatus is a connection to the end of a path.
type ConnectionStatus struct {
	Path      string  `json:"path"`  // with the options of hops
	Label     string  `json:"label"` // as it is shown in errors
	Pool      string  `json:"pool,omitempty"`
	State     string  `json:"state"`   // opening, ready, leaving
	Uses      int     `json:"uses"`    // at present
	Leases    int     `json:"leases"`  // since it was opened
	Through   int     `json:"through"` // connections that go through it
	Age       float64 `json:"age"`
	Idle      float64 `json:"idle"` // 0: in use
	Hostname  string  `json:"hostname,omitempty"`
	User      string  `json:"user,omitempty"`
	PID       int     `json:"pid,omitempty"`
	RTT       float64 `json:"rtt,omitempty"`
	BytesSent uint64  `json:"bytes_sent"`
	BytesRead uint64  `json:"bytes_read"`
}

// HostStatus is what a broker has to do with the end of a path.
type HostStatus struct {
	Path        string `json:"path"`
	Connections int    `json:"connections"`
	Waiting     int    `json:"waiting"`           // requests that wait for a connection
	Bound       int    `json:"bound"`             // of connections
	Refusal     string `json:"refusal,omitempty"` // why the host let no more in
}

// ClientStatus is a connection of a client.
type ClientStatus struct {
	PID  int     `json:"pid,omitempty"`
	Name string  `json:"name,omitempty"`
	Uses int     `json:"uses"`
	Op   string  `json:"op,omitempty"` // the request under way
	Path string  `json:"path,omitempty"`
	For  float64 `json:"for,omitempty"` // since it began
}
