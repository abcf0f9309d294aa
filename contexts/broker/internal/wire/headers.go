package wire

import "github.com/mitosis-go/mitosis/connect"

// Greeting is the first header of each side. Mitosis is "broker" or "client".
type Greeting struct {
	Mitosis      string   `json:"mitosis"`
	Version      int      `json:"version"`
	Name         string   `json:"name,omitempty"`         // of the client
	Program      string   `json:"program,omitempty"`      // of the broker
	PID          int      `json:"pid,omitempty"`          // of the broker
	Capabilities []string `json:"capabilities,omitempty"` // of the broker
}

// A ClientFrame is a header that a client sends after its greeting. Op is set in a request. Times
// are in seconds, sizes in bytes.
type ClientFrame struct {
	Op string `json:"op,omitempty"`

	// Of most requests.
	Path           string  `json:"path,omitempty"`
	Pool           string  `json:"pool,omitempty"`
	ConnectTimeout float64 `json:"connect_timeout,omitempty"`
	Timeout        float64 `json:"timeout,omitempty"`
	Prompts        bool    `json:"prompts,omitempty"`
	Window         int64   `json:"window,omitempty"`

	// Of exec.
	Argv        []string          `json:"argv,omitempty"`
	Shell       bool              `json:"shell,omitempty"`
	Env         map[string]string `json:"env,omitempty"`
	ClearEnv    bool              `json:"clear_env,omitempty"`
	LoginEnv    bool              `json:"login_env,omitempty"`
	SourceEnv   string            `json:"source_env,omitempty"`
	Dir         string            `json:"dir,omitempty"`
	Stdin       bool              `json:"stdin,omitempty"`
	Merge       bool              `json:"merge,omitempty"`
	Pty         *Pty              `json:"pty,omitempty"`
	KeepJobs    bool              `json:"keep_jobs,omitempty"`
	IdleTimeout float64           `json:"idle_timeout,omitempty"`

	// Of files.
	Target    string   `json:"target,omitempty"`
	Source    string   `json:"source,omitempty"`
	Local     string   `json:"local,omitempty"`
	Name      string   `json:"name,omitempty"`
	Mode      string   `json:"mode,omitempty"` // octal
	InPlace   *bool    `json:"in_place,omitempty"`
	Sync      bool     `json:"sync,omitempty"`
	Times     *float64 `json:"times,omitempty"`
	Follow    bool     `json:"follow,omitempty"`
	Parents   bool     `json:"parents,omitempty"`
	Recursive bool     `json:"recursive,omitempty"`

	// Of forward and dial.
	Listen  *Endpoint `json:"listen,omitempty"`
	To      *Endpoint `json:"to,omitempty"`
	Remote  bool      `json:"remote,omitempty"`
	Network string    `json:"network,omitempty"`
	Address string    `json:"address,omitempty"`

	// Of call, close and stop.
	Function string `json:"function,omitempty"`
	Encoding string `json:"encoding,omitempty"`
	Lease    uint64 `json:"lease,omitempty"`
	When     string `json:"when,omitempty"`

	// Of frames within a request.
	Stream  string  `json:"stream,omitempty"`
	End     bool    `json:"end,omitempty"`
	Credit  int64   `json:"credit,omitempty"`
	Signal  string  `json:"signal,omitempty"`
	Group   bool    `json:"group,omitempty"`
	Resize  *Pty    `json:"resize,omitempty"`
	Answer  *uint64 `json:"answer,omitempty"`
	Refused bool    `json:"refused,omitempty"`
	Cancel  bool    `json:"cancel,omitempty"`
}

// Pty is the size of a terminal, in characters, and its kind.
type Pty struct {
	Rows int    `json:"rows"`
	Cols int    `json:"cols"`
	Term string `json:"term,omitempty"`
}

// Endpoint is an address. Network is "tcp" or "unix".
type Endpoint struct {
	Network string `json:"network"`
	Address string `json:"address"`
}

// A BrokerFrame is a header that a broker sends after its greeting. The last one for a request has
// OK set.
type BrokerFrame struct {
	OK    *bool  `json:"ok,omitempty"`
	Error *Error `json:"error,omitempty"` // in an event of state "failed", too

	Stream string  `json:"stream,omitempty"`
	End    bool    `json:"end,omitempty"`
	Credit int64   `json:"credit,omitempty"`
	Prompt *Prompt `json:"prompt,omitempty"`
	Notice *Notice `json:"notice,omitempty"`

	// Of events.
	Event   string `json:"event,omitempty"`
	PID     int    `json:"pid,omitempty"`
	Network string `json:"network,omitempty"`
	Address string `json:"address,omitempty"`
	State   string `json:"state,omitempty"`
	Path    string `json:"path,omitempty"`
	Time    string `json:"time,omitempty"` // RFC 3339
	Count   uint64 `json:"count,omitempty"`

	// Of results.
	Code     *int     `json:"code,omitempty"`
	Signal   *string  `json:"signal,omitempty"`
	Status   any      `json:"status,omitempty"` // of exec a number, of status an object
	Target   string   `json:"target,omitempty"`
	Size     *int64   `json:"size,omitempty"`
	SHA256   string   `json:"sha256,omitempty"`
	Mode     string   `json:"mode,omitempty"`
	Mtime    *float64 `json:"mtime,omitempty"`
	File     *File    `json:"file,omitempty"`
	Files    []File   `json:"files,omitempty"`
	Lease    uint64   `json:"lease,omitempty"`
	Node     *Node    `json:"node,omitempty"`
	Encoding string   `json:"encoding,omitempty"`
}

// Error is the failure of a request. Kind is one of the list in the document.
type Error struct {
	Kind      string `json:"kind"`
	Message   string `json:"message"`
	Path      string `json:"path,omitempty"`
	Temporary bool   `json:"temporary,omitempty"`
}

// Prompt is a question to the person at the client.
type Prompt struct {
	ID      uint64 `json:"id"`
	Path    string `json:"path"`
	Kind    string `json:"kind"`
	Text    string `json:"text"`
	Echo    bool   `json:"echo"`
	Attempt int    `json:"attempt"`
}

// PromptKinds are the names of kinds of questions.
var PromptKinds = map[connect.PromptKind]string{
	connect.PromptOther: "other", connect.PromptPassword: "password", connect.PromptPassphrase: "passphrase", connect.PromptHostKey: "hostkey",
}

// PromptKindOf returns the kind with a name; one that is not known is another question.
func PromptKindOf(name string) connect.PromptKind {
	for kind, n := range PromptKinds {
		if n == name {
			return kind
		}
	}
	return connect.PromptOther
}

// Notice is a text for that person.
type Notice struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// File describes a file.
type File struct {
	Name   string  `json:"name"`
	Bytes  []byte  `json:"name_bytes,omitempty"` // where the name is no UTF-8
	Type   string  `json:"type"`
	Mode   string  `json:"mode"` // octal
	Size   int64   `json:"size"`
	Mtime  float64 `json:"mtime"` // seconds since 1970
	UID    int     `json:"uid"`
	GID    int     `json:"gid"`
	Target string  `json:"target,omitempty"` // of a link
}

// Node describes a context.
type Node struct {
	Path     string `json:"path"`
	Hostname string `json:"hostname"`
	User     string `json:"user"`
	UID      int    `json:"uid"`
	PID      int    `json:"pid"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}
