package main

import (
	"encoding/json"
	"os"
	"sync"
	"time"
)

// knobs are what tests change about a kubelet while it runs. They are in a file,
// so that they stay as they are when the kubelet is started again.
type knobs struct {
	APIDelayMillis int    `json:"apiDelayMillis"`
	Pressure       string `json:"pressure"`
	MaxPods        *int   `json:"maxPods"`
	// StreamLimitMillis is how old a connection to the kubelet gets; 0 is no limit.
	StreamLimitMillis int `json:"streamLimitMillis"`
}

// pressures that a node can be under; see machine.go for what they are.
var pressures = []string{"none", "memory", "disk", "disk-soft"}

// readKnobs takes a missing file for knobs that nobody has turned.
func readKnobs(path string) knobs {
	k := knobs{}
	if text, err := os.ReadFile(path); err == nil {
		json.Unmarshal(text, &k)
	}
	return k
}

func (k knobs) apiDelay() time.Duration { return time.Duration(k.APIDelayMillis) * time.Millisecond }

func (k knobs) streamLimit() time.Duration {
	return time.Duration(k.StreamLimitMillis) * time.Millisecond
}

var turning sync.Mutex

func turnKnobs(path string, set func(*knobs)) error {
	turning.Lock()
	defer turning.Unlock()
	k := readKnobs(path)
	set(&k)
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	// In one step, for a kubelet that reads at any moment.
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
