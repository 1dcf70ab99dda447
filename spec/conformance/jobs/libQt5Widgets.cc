#include "plugin.h"

#include <QApplication>
#include <QDialog>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QMouseEvent>
#include <QPainter>
#include <QPushButton>
#include <QStyleFactory>
#include <QTimer>
#include <QVBoxLayout>

// A widget of our own: its virtual functions are called by Qt.
class Square : public QWidget {
public:
    int painted = 0;
    explicit Square(QWidget *parent) : QWidget(parent) {}

protected:
    void paintEvent(QPaintEvent *) override
    {
        painted++;
        QPainter(this).fillRect(rect(), QColor(192, 64, 32));
    }
};

static void click(QWidget *widget)
{
    const QPointF at = widget->rect().center();
    for (QEvent::Type type : { QEvent::MouseButtonPress,
                               QEvent::MouseButtonRelease }) {
        QMouseEvent event(type, at, widget->mapToGlobal(at.toPoint()),
                          Qt::LeftButton, Qt::LeftButton, Qt::NoModifier);
        QApplication::sendEvent(widget, &event);
    }
}

static int pixels(const QImage &image, QRgb colour)
{
    int count = 0;
    for (int y = 0; y < image.height(); y++)
        for (int x = 0; x < image.width(); x++)
            count += image.pixel(x, y) == colour;
    return count;
}

static std::string run(const std::string &folder)
{
    int count = 1;
    char name[] = "work", *words[] = { name, nullptr };
    QApplication application(count, words);
    check(application.platformName() == "offscreen", "another platform");
    check(QStyleFactory::keys().contains("Fusion"), "there is no style");
    application.setStyle("Fusion");

    QDialog dialog;
    QVBoxLayout *layout = new QVBoxLayout(&dialog);
    QLabel *label = new QLabel("not yet");
    QLineEdit *edit = new QLineEdit;
    QListWidget *list = new QListWidget;
    Square *square = new Square(nullptr);
    QPushButton *button = new QPushButton("&Say it");
    for (int i = 0; i < 50; i++)
        list->addItem(QString("item %1").arg(49 - i, 2, 10, QChar('0')));
    list->sortItems();
    square->setFixedSize(120, 60);
    for (QWidget *widget : std::initializer_list<QWidget *>{
             label, edit, list, square, button })
        layout->addWidget(widget);
    int clicks = 0;
    QObject::connect(button, &QPushButton::clicked, [&] {
        clicks++;
        label->setText(edit->text());
    });
    dialog.setStyleSheet("QDialog { background: rgb(32, 96, 192); }");
    dialog.resize(400, 400);
    dialog.show();
    application.processEvents();
    check(dialog.isVisible() && square->painted > 0, "it is not painted");
    check(list->item(7)->text() == "item 07", "the list is not sorted");

    QKeyEvent key(QEvent::KeyPress, 0, Qt::NoModifier, "a word");
    QApplication::sendEvent(edit, &key);
    click(button);
    check(clicks == 1 && label->text() == "a word", "a click does nothing");

    QImage image(dialog.size(), QImage::Format_RGB32);
    dialog.render(&image);
    check(pixels(image, qRgb(192, 64, 32)) == 120 * 60, "the square is gone");
    check(pixels(image, qRgb(32, 96, 192)) > 10000, "there is no background");
    check(square->y() > list->y() && square->y() < button->y(), "the layout");
    check(dialog.grab().save(QString::fromStdString(folder) + "/dialog.png"),
          "it is not stored");

    // A loop of its own, which the dialog's closing ends.
    QTimer::singleShot(10, &dialog, &QDialog::accept);
    check(dialog.exec() == QDialog::Accepted, "it is not accepted");
    return "a dialog of 5 widgets laid out, clicked and painted";
}
