"""What a client of another house gets from the gate: `cases.py HOST PORT WEBSOCKET_PORT AUTHORITY_DIRECTORY`.

Each function that begins with `case_` is one case; it prints `ok NAME`, or what went wrong, and the status says whether all were.
docs/interoperability.md lists them. The meters m1 and m2, the service p1 and the operator anna have certificates in the directory.
"""

import queue
import select
import ssl
import sys
import threading
import time
import traceback

import paho.mqtt.client as mqtt

HOST, PORT, WEBSOCKET_PORT, AUTHORITY = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
PATIENCE = 20
SHARDS = dict(pair.split("=") for pair in sys.argv[5:])


def topic(meter, leaf):
    return f"f1/{SHARDS[meter]}/{meter}/{leaf}"


class Client:
    """A client that keeps what happens to it in queues."""

    def __init__(self, name, client_id=None, clean=True, protocol=mqtt.MQTTv311, transport="tcp", certificate=True):
        self.messages, self.subscribed, self.unsubscribed = queue.Queue(), queue.Queue(), queue.Queue()
        self.answer, self.ended = queue.Queue(), threading.Event()
        clean = {} if protocol == mqtt.MQTTv5 else {"clean_session": clean}
        client_id = name if client_id is None else client_id
        self.mqtt = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=protocol, transport=transport, reconnect_on_failure=False, **clean
        )
        issued = f"{AUTHORITY}/issued/{name}"
        files = {"certfile": f"{issued}.pem", "keyfile": f"{issued}.key"} if certificate else {}
        self.mqtt.tls_set(f"{AUTHORITY}/ca.pem", **files)
        self.port = WEBSOCKET_PORT if transport == "websockets" else PORT
        self.mqtt.on_connect = lambda _c, _d, flags, code, _p: self.answer.put((flags.session_present, code))
        self.mqtt.on_message = lambda _c, _d, message: self.messages.put(message)
        self.mqtt.on_subscribe = lambda _c, _d, _m, codes, _p: self.subscribed.put([code.value for code in codes])
        self.mqtt.on_unsubscribe = lambda _c, _d, _m, _codes, _p: self.unsubscribed.put(True)
        self.mqtt.on_disconnect = lambda *_: self.ended.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def knock(self, keep_alive=60):
        """Connects; the answer as (session present, reason)."""
        self.mqtt.connect(HOST, self.port, keep_alive)
        self.mqtt.loop_start()
        return self.answer.get(timeout=PATIENCE)

    def connect(self, keep_alive=60):
        session_present, code = self.knock(keep_alive)
        assert code == 0, code
        assert not session_present
        return self

    def subscribe(self, *filters, qos=1):
        self.mqtt.subscribe([(name, qos) for name in filters])
        return self.subscribed.get(timeout=PATIENCE)

    def publish(self, name, payload, qos=1, retain=False):
        self.mqtt.publish(name, payload, qos, retain).wait_for_publish(PATIENCE)

    def next(self):
        return self.messages.get(timeout=PATIENCE)

    def is_quiet(self):
        """Nothing came before the answer to a subscription that brings nothing."""
        assert self.subscribe("$SYS/none") == [128]
        assert self.messages.empty(), self.messages.get().topic


def case_publish_and_subscribe_at_qos_0_and_1():
    with Client("p1").connect() as processor, Client("m1").connect() as meter:
        assert processor.subscribe("f1/+/+/up") == [1]
        for qos in (0, 1):
            meter.publish(topic("m1", "up"), b"frame", qos)
            message = processor.next()
            assert (message.topic, message.payload, message.retain) == (topic("m1", "up"), b"frame", False)
        # Both of the meter's own topics are granted at QoS 0, whatever was asked for.
        assert meter.subscribe(topic("m1", "dn"), topic("m1", "cmd")) == [0, 0]
        processor.publish(topic("m1", "dn"), b"ack")
        assert meter.next().payload == b"ack"


def case_five_hundred_messages_arrive_once_and_in_order():
    with Client("p1").connect() as processor, Client("m1").connect() as meter:
        assert processor.subscribe("f1/+/+/up") == [1]
        sent = [meter.mqtt.publish(topic("m1", "up"), str(number), 1) for number in range(500)]
        assert [int(processor.next().payload) for _ in sent] == list(range(500))
        for message in sent:
            message.wait_for_publish(PATIENCE)
        processor.is_quiet()


def case_retained_values_are_replayed_and_forgotten():
    with Client("p1").connect() as service, Client("anna").connect() as operator:
        for meter in ("m1", "m2"):
            service.publish(f"live/{meter}", meter, retain=True)
        assert operator.subscribe("live/#") == [1]
        replayed = [operator.next(), operator.next()]
        assert sorted((it.topic, it.payload, it.retain) for it in replayed) == [("live/m1", b"m1", True), ("live/m2", b"m2", True)]
        service.publish("live/m1", b"news", retain=True)
        assert (news := operator.next()).payload == b"news" and not news.retain
        service.publish("live/m1", b"", retain=True)
        assert operator.next().payload == b""
        service.publish("live/m2", b"", retain=True)
        assert operator.next().payload == b""
        assert operator.subscribe("live/#") == [1]
        operator.is_quiet()


def case_presence_of_meters_is_told():
    with Client("anna").connect() as operator:
        assert operator.subscribe("state/m2") == [1]
        while not operator.messages.empty():
            operator.next()
        with Client("m2").connect():
            while b'"online"' not in operator.next().payload:
                pass
        while b'"offline"' not in (last := operator.next().payload):
            pass
        assert b'"why":"disconnected"' in last


def case_a_persistent_session_is_accepted_and_nothing_is_kept():
    with Client("p1").connect() as service, Client("m2").connect() as other:
        assert other.subscribe(topic("m2", "dn")) == [0]

        def is_lost(payload):
            service.publish(topic("m1", "dn"), payload)
            # What comes to another meter after it has overtaken nothing.
            service.publish(topic("m2", "dn"), payload)
            assert other.next().payload == payload

        with Client("m1", clean=False).connect() as meter:
            assert meter.subscribe(topic("m1", "dn")) == [0]
        assert meter.ended.wait(PATIENCE)
        is_lost(b"while away")
        with Client("m1", clean=False).connect() as meter:
            is_lost(b"not subscribed any more")
            meter.is_quiet()
            assert meter.subscribe(topic("m1", "dn")) == [0]
            service.publish(topic("m1", "dn"), b"here again")
            assert meter.next().payload == b"here again"
            meter.is_quiet()


def case_pings_keep_a_session_and_silence_ends_it():
    # Ended after 7.5 s, it has 2.5 s for a ping.
    with Client("m1").connect(keep_alive=5) as meter:
        silent, began = Client("m2"), time.monotonic()
        silent.mqtt.connect(HOST, PORT, 1)
        while silent.answer.empty():
            silent.mqtt.loop(0.1)
        connection = silent.mqtt.socket()
        while True:
            assert select.select([connection], [], [], PATIENCE)[0], "a silent client stays"
            try:
                if not connection.recv(1):
                    break
            except ssl.SSLWantReadError:
                continue
        assert 1.5 <= time.monotonic() - began < PATIENCE
        assert not meter.ended.wait(8), "a client that pings is cut"


def case_overlapping_filters_bring_a_message_once():
    with Client("p1").connect() as service, Client("anna").connect() as operator:
        assert operator.subscribe("alert/#", "alert/+/m1", "alert/critical/m1") == [1, 1, 1]
        service.publish("alert/critical/m1", b"theft")
        assert operator.next().payload == b"theft"
        operator.is_quiet()


def case_unsubscribed_is_not_heard():
    with Client("p1").connect() as service, Client("anna").connect() as operator:
        assert operator.subscribe("alert/#", "live/m1") == [1, 1]
        operator.mqtt.unsubscribe("alert/#")
        assert operator.unsubscribed.get(timeout=PATIENCE)
        service.publish("alert/info/m1", b"unheard")
        service.publish("live/m1", b"heard")
        assert operator.next().payload == b"heard"
        operator.is_quiet()


def case_filters_that_are_not_granted_get_128():
    filters = ["#", "+/+", "$SYS/#", "$share/g/live/#", "f1/+/+/up", topic("m1", "dn"), "live/#"]
    with Client("anna").connect() as operator:
        assert operator.subscribe(*filters) == [128, 128, 128, 128, 128, 128, 1]


def case_a_newer_session_replaces_the_older():
    with Client("m1").connect() as older, Client("m1").connect() as newer:
        assert older.ended.wait(PATIENCE)
        newer.is_quiet()


def case_refusals_have_the_protocols_codes():
    for client, expected in [
        (Client("m1", client_id="m2"), "Client identifier not valid"),
        (Client("m1", protocol=mqtt.MQTTv31), "Unsupported protocol version"),
        (Client("m1", protocol=mqtt.MQTTv5), "Unsupported protocol version"),
    ]:
        with client:
            assert str(client.knock()[1]) == expected, expected
    with Client("m1", client_id="") as client:
        # Paho keeps this code to itself: it would try again under a name of its own making.
        client.mqtt.connect(HOST, PORT)
        client.mqtt.loop_start()
        assert client.ended.wait(PATIENCE) and client.answer.empty()
    with Client("m1") as client:
        client.mqtt.will_set("live/m1", b"gone")
        assert str(client.knock()[1]) == "Not authorized"


def case_qos_2_and_foreign_topics_end_the_connection():
    for name, qos in [(topic("m1", "up"), 2), (topic("m2", "up"), 1), ("live/m1", 0)]:
        with Client("m1").connect() as meter:
            meter.mqtt.publish(name, b"x", qos)
            assert meter.ended.wait(PATIENCE), name


def case_nobody_comes_without_a_certificate():
    with Client("m1", certificate=False) as client:
        try:
            client.mqtt.connect(HOST, PORT)
            client.mqtt.loop_start()
            assert client.ended.wait(PATIENCE) and client.answer.empty()
        except (ssl.SSLError, ConnectionError):
            pass


def case_an_operator_comes_by_websocket():
    with Client("p1").connect() as service, Client("anna", transport="websockets").connect() as operator:
        assert operator.subscribe("alert/#", "f1/+/+/up") == [1, 128]
        service.publish("alert/critical/m1", b"x" * 100_000)
        assert operator.next().payload == b"x" * 100_000
        operator.is_quiet()
    with Client("m1", transport="websockets") as meter:
        try:
            meter.mqtt.connect(HOST, WEBSOCKET_PORT)
            raise AssertionError("a meter in a browser")
        except mqtt.WebsocketConnectionError:
            pass


def main():
    cases = [(name, it) for name, it in globals().items() if name.startswith("case_")]
    failed = 0
    for name, case in cases:
        try:
            case()
            print("ok", name.removeprefix("case_"), flush=True)
        except Exception:  # whatever it is, it is reported and the next case runs
            failed += 1
            print("FAILED", name.removeprefix("case_"), traceback.format_exc(), flush=True)
    return 1 if failed else 0


sys.exit(main())
