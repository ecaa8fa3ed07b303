"""services.mqtt-tcp and services.mqtt-websocket"""

from biostudio_doctor.services import Answer, Target

from .services_node import NodeService


class ServicesMqttTcp(NodeService):
    """The MQTT broker answers over TCP.

    Opens a session (MQTT 3.1.1) with the broker of this BioStudio node, without a login and, where
    one is configured, with it, and reads the version that the broker publishes of itself. Nothing
    is published or changed. A demand for a password is a sign of life.

    Why: through it BioStudio's parts tell each other what has happened.

    Mend: look at BioStudio's container and its log. To have it asked with a login, set user and
    password in the table [services.mqtt_tcp] of the configuration.
    """

    id = "services.mqtt-tcp"
    requirement_ids = ("port.mqtt-tcp",)
    service = "mqtt-tcp"
    name = "BioStudio's MQTT broker"

    async def ask(self, target: Target) -> Answer:
        from biostudio_doctor.services import mqtt

        return await mqtt.ask(target)


class ServicesMqttWebsocket(NodeService):
    """The MQTT broker answers over WebSocket.

    As services.mqtt-tcp, over WebSocket at the path /mqtt. A web server that refuses the upgrade to
    WebSocket is told by its name.

    Why: through it browsers learn at once how their work goes on.

    Mend: look at BioStudio's container and its log. If it answers here and not in browsers, a proxy
    between them and bioproxy does not pass WebSocket on: it must forward Upgrade and Connection.
    """

    id = "services.mqtt-websocket"
    requirement_ids = ("port.mqtt-websocket",)
    service = "mqtt-websocket"
    name = "BioStudio's MQTT broker (WebSocket)"

    async def ask(self, target: Target) -> Answer:
        from biostudio_doctor.services import mqtt

        return await mqtt.ask(target, "websockets")
