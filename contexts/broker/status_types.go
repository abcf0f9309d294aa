package broker

import "github.com/mitosis-go/mitosis/contexts/broker/internal/wire"

// What a broker tells of itself.
type (
	Status           = wire.Status
	ConnectionStatus = wire.ConnectionStatus
	HostStatus       = wire.HostStatus
	ClientStatus     = wire.ClientStatus
)
